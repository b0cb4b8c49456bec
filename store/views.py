"""The views that answer the usual questions without a join; part of the public SQL interface.

They are made anew whenever the schema is, so a view can be mended without a migration; its columns stay.
"""

from __future__ import annotations

VIEWS: tuple[tuple[str, str], ...] = (
    (
        "images",
        """
        SELECT image_id, path, source, category, condition, split, content_sha256, width, height, size_bytes,
               modified_ns, added_at, metadata
        FROM stored_images WHERE removed_at IS NULL
        """,
    ),
    (
        "outcomes",
        """
        SELECT r.run_id, r.name AS run, i.image_id, i.path, t.category, i.condition, i.split,
               p.category AS predicted, p.prompt, p.cosine, p.probability,
               t.true_rank, t.true_cosine, t.true_probability,
               CASE WHEN t.true_rank IS NOT NULL THEN p.category = t.category END AS correct
        FROM predictions p
        JOIN truths t USING (run_id, image_id)
        JOIN runs r USING (run_id)
        JOIN stored_images i USING (image_id)
        WHERE p.rank = 1
        """,
    ),
    (
        "accuracy",
        """
        SELECT run_id, run, count(correct) AS n, count(*) FILTER (correct) AS correct,
               count(*) FILTER (correct) / nullif(count(correct), 0) AS accuracy,
               wilson_low(count(*) FILTER (correct), count(correct)) AS low,
               wilson_high(count(*) FILTER (correct), count(correct)) AS high
        FROM outcomes GROUP BY run_id, run
        """,
    ),
    (
        "accuracy_by_condition",
        """
        SELECT run_id, run, condition, count(correct) AS n, count(*) FILTER (correct) AS correct,
               count(*) FILTER (correct) / nullif(count(correct), 0) AS accuracy,
               wilson_low(count(*) FILTER (correct), count(correct)) AS low,
               wilson_high(count(*) FILTER (correct), count(correct)) AS high
        FROM outcomes WHERE correct IS NOT NULL GROUP BY run_id, run, condition
        """,
    ),
    (
        "accuracy_by_category",
        """
        SELECT run_id, run, category, count(correct) AS n, count(*) FILTER (correct) AS correct,
               count(*) FILTER (correct) / nullif(count(correct), 0) AS accuracy,
               wilson_low(count(*) FILTER (correct), count(correct)) AS low,
               wilson_high(count(*) FILTER (correct), count(correct)) AS high
        FROM outcomes WHERE correct IS NOT NULL GROUP BY run_id, run, category
        """,
    ),
    (
        "topk_accuracy",
        """
        SELECT o.run_id, o.run, k.k, count(*) AS n, count(*) FILTER (o.true_rank <= k.k) AS correct,
               count(*) FILTER (o.true_rank <= k.k) / count(*) AS accuracy,
               wilson_low(count(*) FILTER (o.true_rank <= k.k), count(*)) AS low,
               wilson_high(count(*) FILTER (o.true_rank <= k.k), count(*)) AS high
        FROM outcomes o
        JOIN (
            SELECT r.run_id, unnest(range(1, 1 + count(DISTINCT p.category))) AS k
            FROM runs r JOIN prompts p USING (prompt_set_id) GROUP BY r.run_id
        ) k ON k.run_id = o.run_id
        WHERE o.true_rank IS NOT NULL GROUP BY o.run_id, o.run, k.k
        """,
    ),
    (
        "confusion",
        """
        SELECT run_id, run, category, predicted, count(*) AS images,
               count(*) / sum(count(*)) OVER (PARTITION BY run_id, category) AS share
        FROM outcomes WHERE correct IS NOT NULL GROUP BY run_id, run, category, predicted
        """,
    ),
    (
        "disagreements",
        """
        SELECT a.run AS run_a, b.run AS run_b, a.image_id, a.path, a.category, a.condition, a.split,
               a.predicted AS predicted_a, b.predicted AS predicted_b, a.correct AS correct_a, b.correct AS correct_b
        FROM outcomes a JOIN outcomes b ON a.image_id = b.image_id AND a.run_id < b.run_id
        WHERE a.predicted <> b.predicted
        """,
    ),
)


def statements() -> str:
    """Return the SQL that makes every view, replacing what is there."""
    return "".join(f"CREATE OR REPLACE VIEW {name} AS {body};\n" for name, body in VIEWS)
