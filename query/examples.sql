-- How good is each run, by condition, with its 95 % interval?
SELECT run, condition, n, accuracy, low, high FROM accuracy_by_condition;

-- The surest mistakes of the newest run
SELECT path, category, predicted, probability FROM outcomes
WHERE run_id = (SELECT max(run_id) FROM runs) AND NOT correct ORDER BY probability DESC LIMIT 10;

-- What the newest run takes for what
SELECT category, predicted, images, share FROM confusion
WHERE run_id = (SELECT max(run_id) FROM runs) AND category <> predicted ORDER BY images DESC LIMIT 10;

-- Images that look most like a text
FROM search('a duck', n := 5);

-- Mistakes among what a text finds
SELECT s.path, s.cosine, o.category, o.predicted FROM search('a duck', n := 100) s JOIN outcomes o USING (image_id)
WHERE o.run_id = (SELECT max(run_id) FROM runs) AND NOT o.correct ORDER BY s.cosine DESC;

-- Images nearest to image 1
FROM nearest(1, n := 5);

-- Labels that may be wrong: images least similar to the name of their own category
SELECT path, category, similarity(image_id, category) AS cosine FROM images WHERE category IS NOT NULL
ORDER BY cosine LIMIT 10;

-- Images that are there more than once
SELECT count(*) AS copies, list(path) AS paths FROM images GROUP BY content_sha256 HAVING count(*) > 1;

-- What could not be indexed, and why
SELECT reason, count(*) AS images, any_value(path) AS example FROM failures GROUP BY reason ORDER BY images DESC;

-- How many images of each category there are in each condition
PIVOT (FROM images WHERE category IS NOT NULL) ON condition USING count(*) GROUP BY category ORDER BY category;
