"""The catalog's tables, as numbered migrations, and its views.

A table or column once published changes only by a new number. Tables whose names begin with `stored_` or hold a number
are the store's own; docs/schema.md describes the others, which are a public interface together with the views. No table
has a primary key: one writer assigns the ids, and an index over millions of rows would be written again with every
commit.
"""

from __future__ import annotations

from collections.abc import Sequence


def short_hash(content: str) -> str:
    """Return the SQL for the first 64 bits of a SHA-256, a UBIGINT; NULL where the text is not one.

    Every row of vectors keeps that of the content it was encoded from: what an id means elsewhere in the catalog may
    change by damage, or because another catalog was put in its place, and then the two differ.
    """
    return f"TRY_CAST('0x' || substr({content}, 1, 16) AS UBIGINT)"


STORED_OUTCOMES = """
    SELECT r.run_id, r.name AS run, i.image_id, i.path, t.category, i.condition, i.split,
           p.category AS predicted, p.prompt, p.cosine, p.probability,
           t.true_rank, t.true_cosine, t.true_probability,
           CASE WHEN t.true_rank IS NOT NULL THEN p.category = t.category END AS correct
    FROM {of}predictions p
    JOIN {of}truths t USING (run_id, image_id)
    JOIN runs r USING (run_id)
    JOIN stored_images i USING (image_id)
    WHERE p.rank = 1
"""
OUTCOMES = STORED_OUTCOMES.format(of="")
# Views over outcomes take them from here: DuckDB would sort what a sorted view gives, also under an aggregate.

COUNT_OUTCOMES = """
    INSERT INTO outcome_counts
    SELECT run_id, category, condition, predicted, correct, count(*) FROM ({outcomes}) WHERE {where} GROUP BY ALL;

    INSERT INTO rank_counts
    SELECT run_id, true_rank, count(*) FROM ({outcomes}) WHERE true_rank IS NOT NULL AND {where} GROUP BY ALL;
"""
"""What counts the outcomes of the runs that a condition `where` keeps."""

DISAGREEMENTS = """
    SELECT a.run AS run_a, b.run AS run_b, a.image_id, a.path, a.category, a.condition, a.split,
           a.predicted AS predicted_a, b.predicted AS predicted_b, a.correct AS correct_a, b.correct AS correct_b
    FROM ({outcomes}) a JOIN ({outcomes}) b ON a.image_id = b.image_id AND a.run_id < b.run_id
    WHERE a.predicted <> b.predicted ORDER BY a.run_id, b.run_id, a.image_id
"""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (key VARCHAR, value VARCHAR);

    CREATE TABLE stored_images (
        image_id BIGINT, path VARCHAR, source VARCHAR,
        category VARCHAR, condition VARCHAR, split VARCHAR,
        content_sha256 VARCHAR, width INTEGER, height INTEGER, size_bytes BIGINT, modified_ns BIGINT,
        added_at TIMESTAMP, removed_at TIMESTAMP
    );

    CREATE TABLE failures (
        path VARCHAR, source VARCHAR, stage VARCHAR, reason VARCHAR, detail VARCHAR,
        size_bytes BIGINT, modified_ns BIGINT, failed_at TIMESTAMP
    );

    CREATE TABLE encoders (
        encoder_id INTEGER, name VARCHAR, revision VARCHAR, weights_sha256 VARCHAR, preprocessing_sha256 VARCHAR,
        precision VARCHAR, dim INTEGER, vision_dim INTEGER, pooling VARCHAR,
        logit_scale DOUBLE, logit_bias DOUBLE, sigmoid BOOLEAN, added_at TIMESTAMP
    );

    CREATE TABLE prompt_sets (
        prompt_set_id INTEGER, name VARCHAR, combine VARCHAR, templates VARCHAR[], source VARCHAR, sha256 VARCHAR,
        added_at TIMESTAMP
    );
    CREATE TABLE prompts (
        prompt_set_id INTEGER, class_position INTEGER, category VARCHAR, prompt_position INTEGER, prompt VARCHAR
    );

    CREATE TABLE runs (
        run_id INTEGER, name VARCHAR, encoder_id INTEGER, prompt_set_id INTEGER, filter VARCHAR, k INTEGER,
        images BIGINT, scored BIGINT, unlabelled BIGINT, outside BIGINT, failed BIGINT,
        settings JSON, versions JSON, started_at TIMESTAMP, seconds DOUBLE
    );
    CREATE TABLE predictions (
        run_id INTEGER, image_id BIGINT, rank INTEGER, category VARCHAR, prompt VARCHAR,
        cosine FLOAT, probability DOUBLE
    );
    CREATE TABLE truths (
        run_id INTEGER, image_id BIGINT, category VARCHAR, true_rank INTEGER,
        true_cosine FLOAT, true_probability DOUBLE
    );

    CREATE TABLE projections (
        projection_id INTEGER, encoder_id INTEGER, space VARCHAR, method VARCHAR, settings JSON, filter VARCHAR,
        images BIGINT, images_sha256 VARCHAR, made_at TIMESTAMP
    );
    CREATE TABLE projection_points (projection_id INTEGER, image_id BIGINT, x DOUBLE, y DOUBLE);

    CREATE MACRO wilson_low(correct, n) AS
        CASE WHEN n > 0 THEN greatest(0.0,
            (correct / n + 1.9207294103470838 / n - 1.959963984540054
             * sqrt((correct / n) * (1 - correct / n) / n + 0.9603647051735419 / (n::DOUBLE * n)))
            / (1 + 3.8414588206941676 / n)) END;
    CREATE MACRO wilson_high(correct, n) AS
        CASE WHEN n > 0 THEN least(1.0,
            (correct / n + 1.9207294103470838 / n + 1.959963984540054
             * sqrt((correct / n) * (1 - correct / n) / n + 0.9603647051735419 / (n::DOUBLE * n)))
            / (1 + 3.8414588206941676 / n)) END;
    """,
    """
    ALTER TABLE prompt_sets ADD COLUMN aliases JSON;

    ALTER TABLE runs ADD COLUMN command VARCHAR;
    ALTER TABLE runs ADD COLUMN data_sha256 VARCHAR;
    ALTER TABLE runs ADD COLUMN labels_sha256 VARCHAR;
    ALTER TABLE runs ADD COLUMN seed INTEGER;

    CREATE TABLE baselines (
        baseline_id INTEGER, name VARCHAR, kind VARCHAR, source VARCHAR, note VARCHAR, sha256 VARCHAR,
        imported_at TIMESTAMP
    );
    CREATE TABLE baseline_accuracies (
        baseline_id INTEGER, condition VARCHAR, accuracy DOUBLE, low DOUBLE, high DOUBLE, n BIGINT, method VARCHAR
    );
    CREATE TABLE baseline_trials (
        baseline_id INTEGER, subject VARCHAR, category VARCHAR, condition VARCHAR, response VARCHAR, imagename VARCHAR,
        correct BOOLEAN
    );
    """,
    """
    ALTER TABLE stored_images ADD COLUMN metadata JSON;
    ALTER TABLE failures ADD COLUMN decoder VARCHAR;

    CREATE TABLE sources (
        source VARCHAR, kind VARCHAR, layout VARCHAR, categories VARCHAR[],
        category VARCHAR, condition VARCHAR, split VARCHAR, columns JSON, added_at TIMESTAMP
    );
    """,
    """
    ALTER TABLE sources ADD COLUMN reading JSON;

    UPDATE stored_images SET category = nfc_normalize(category), condition = nfc_normalize(condition),
        split = nfc_normalize(split)
    WHERE category <> nfc_normalize(category) OR condition <> nfc_normalize(condition)
        OR split <> nfc_normalize(split);

    CREATE TABLE left_out (
        source VARCHAR, position INTEGER, kind VARCHAR, count BIGINT, paths VARCHAR[], extensions JSON
    );
    """,
    """
    CREATE TABLE shards (
        shard_id INTEGER, key VARCHAR, source VARCHAR, encoder_id INTEGER, part INTEGER, parts INTEGER, piece INTEGER,
        state VARCHAR, images BIGINT, failures BIGINT, sha256 VARCHAR, place VARCHAR, name VARCHAR,
        committed_at TIMESTAMP
    );
    """,
    f"""
    ALTER TABLE vectors_N ADD COLUMN IF NOT EXISTS content_hash UBIGINT;
    UPDATE vectors_N SET content_hash = {short_hash("content_sha256")} FROM stored_images s
    WHERE vectors_N.image_id = s.image_id;
    """,
    """
    CREATE TABLE selections (name VARCHAR, query VARCHAR, saved_at TIMESTAMP);
    CREATE TABLE selection_images (selection VARCHAR, rank INTEGER, image_id BIGINT);
    """,
    f"""
    CREATE TABLE outcome_counts (
        run_id INTEGER, category VARCHAR, condition VARCHAR, predicted VARCHAR, correct BOOLEAN, images BIGINT
    );
    CREATE TABLE rank_counts (run_id INTEGER, true_rank INTEGER, images BIGINT);
    {COUNT_OUTCOMES.format(outcomes=OUTCOMES, where="true")}
    """,
    # What was indexed before has NULL in `exif` until its file is read again.
    """
    ALTER TABLE stored_images ADD COLUMN taken_at TIMESTAMP;
    ALTER TABLE stored_images ADD COLUMN camera VARCHAR;
    ALTER TABLE stored_images ADD COLUMN lens VARCHAR;
    ALTER TABLE stored_images ADD COLUMN latitude DOUBLE;
    ALTER TABLE stored_images ADD COLUMN longitude DOUBLE;
    ALTER TABLE stored_images ADD COLUMN exif JSON;

    CREATE MACRO distance_km(latitude_a, longitude_a, latitude_b, longitude_b) AS
        2 * 6371.0088 * asin(sqrt(least(1.0, sin(radians(latitude_b - latitude_a) / 2) ** 2
            + cos(radians(latitude_a)) * cos(radians(latitude_b)) * sin(radians(longitude_b - longitude_a) / 2) ** 2)));
    """,
    """
    CREATE TABLE prediction_files (
        run_id INTEGER, folder VARCHAR, name VARCHAR, images BIGINT, bytes BIGINT, modified_ns BIGINT, sha256 VARCHAR,
        token VARCHAR, images_generation VARCHAR
    );
    """,
    """
    CREATE TABLE vector_shards (
        shard_id INTEGER, encoder_id INTEGER, source VARCHAR, sha256 VARCHAR, place VARCHAR, name VARCHAR
    );
    CREATE TABLE vector_places (
        encoder_id INTEGER, image_id BIGINT, content_hash UBIGINT, shard_id INTEGER, shard_row INTEGER
    );
    """,
)
"""What brings the schema from each version to the next. One that names `vectors_N` is run for each encoder's table."""


def migration(found: int, encoders: Sequence[int]) -> list[str]:
    """Return the SQL that brings a schema from version `found`, 0 where there are no tables, to this one."""
    return [
        text
        for one in MIGRATIONS[found:]
        for text in ([one.replace("vectors_N", vectors_table(n)) for n in encoders] if "vectors_N" in one else [one])
    ]


VERSION = len(MIGRATIONS)
"""The schema version that this shotdex writes."""


def vectors_table(encoder_id: int) -> str:
    """Return the name of the table that holds one encoder's image vectors."""
    return f"vectors_{encoder_id}"


def texts_table(encoder_id: int) -> str:
    """Return the name of the table that remembers one encoder's text vectors."""
    return f"text_vectors_{encoder_id}"


def encoder_tables(encoder_id: int, dim: int, vision_dim: int) -> str:
    """Return the statements that make one encoder's tables: array types need a fixed length, so each has its own."""
    return f"""
    CREATE TABLE {vectors_table(encoder_id)} (
        image_id BIGINT, joint FLOAT[{dim}], vision FLOAT[{vision_dim}], content_hash UBIGINT
    );
    CREATE TABLE {texts_table(encoder_id)} (text VARCHAR, vector FLOAT[{dim}]);
    """


def _accuracy(column: str = "") -> str:
    """Return the view of the accuracies of each run, or of each run's images by a column of `outcome_counts`."""
    by, where = (f", {column}", "WHERE correct IS NOT NULL") if column else ("", "")
    return f"""
        SELECT run_id, r.name AS run{by}, n, hits AS correct, hits / nullif(n, 0) AS accuracy,
               wilson_low(hits, n) AS low, wilson_high(hits, n) AS high
        FROM (
            SELECT run_id{by}, coalesce(sum(images) FILTER (correct IS NOT NULL), 0)::BIGINT AS n,
                   coalesce(sum(images) FILTER (correct), 0)::BIGINT AS hits
            FROM outcome_counts {where} GROUP BY run_id{by}
        ) JOIN runs r USING (run_id) ORDER BY run_id{by}{" NULLS LAST" if column else ""}
        """


VIEWS: tuple[tuple[str, str], ...] = (
    (
        "images",
        """
        SELECT image_id, path, source, category, condition, split, content_sha256, width, height, size_bytes,
               modified_ns, added_at,
               CASE WHEN exif IS NULL OR exif = '{}' THEN metadata
                    ELSE json_merge_patch(coalesce(metadata, '{}'::JSON), json_object('exif', exif)) END AS metadata,
               taken_at, camera, lens, latitude, longitude
        FROM stored_images WHERE removed_at IS NULL
        """,
    ),
    (
        "outcomes",
        f"SELECT * FROM ({OUTCOMES}) ORDER BY run_id, image_id",
    ),
    ("accuracy", _accuracy()),
    ("accuracy_by_condition", _accuracy("condition")),
    ("accuracy_by_category", _accuracy("category")),
    (
        "topk_accuracy",
        """
        SELECT run_id, run, k, n, correct, correct / n AS accuracy, wilson_low(correct, n) AS low,
               wilson_high(correct, n) AS high
        FROM (
            SELECT k.run_id, k.run, k.k, sum(c.images)::BIGINT AS n,
                   coalesce(sum(c.images) FILTER (c.true_rank <= k.k), 0)::BIGINT AS correct
            FROM rank_counts c
            JOIN (
                SELECT r.run_id, r.name AS run, unnest(range(1, 1 + count(DISTINCT p.category))) AS k
                FROM runs r JOIN prompts p USING (prompt_set_id) GROUP BY r.run_id, r.name
            ) k USING (run_id)
            GROUP BY k.run_id, k.run, k.k
        ) ORDER BY run_id, k
        """,
    ),
    (
        "confusion",
        """
        SELECT run_id, r.name AS run, c.category, c.predicted, c.images,
               c.images / sum(c.images) OVER (PARTITION BY run_id, c.category) AS share
        FROM (
            SELECT run_id, category, predicted, sum(images)::BIGINT AS images FROM outcome_counts
            WHERE correct IS NOT NULL GROUP BY run_id, category, predicted
        ) c JOIN runs r USING (run_id)
        ORDER BY run_id, c.category, c.predicted
        """,
    ),
    ("disagreements", DISAGREEMENTS.format(outcomes=OUTCOMES)),
)
"""The views that answer the usual questions without a join, also part of the public SQL interface. They are made again
whenever the schema is migrated, so one can be corrected without a migration; its columns stay.
"""


def view_statements() -> str:
    """Return the SQL that makes every view, replacing what is there."""
    return "".join(f"CREATE OR REPLACE VIEW {name} AS {body};\n" for name, body in VIEWS)
