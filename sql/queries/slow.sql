-- What was slow in this process in the last 24 hours, and why: the slowest searches first, and those that failed. Works on any database.
--
--     SELECT fafcas_config('trace', 1000), fafcas_config('slow_ms', 50);
--
-- once, when the program begins, keeps the last 1,000 searches that took longer than 50 ms or failed. Without it, there are no rows.
-- `stage` is where most of the time went, and `advice` says what would help there. Times are in UTC.
WITH stages AS (
    SELECT *, rowid AS number, max(planning_ms, opening_ms, sweeping_ms, fetching_ms, embedding_ms,
                                   total_ms - planning_ms - opening_ms - sweeping_ms - fetching_ms - embedding_ms) AS most
    FROM   vec_trace
    WHERE  began >= strftime('%s', 'now', '-1 day') + 0
),
named AS (
    SELECT *, CASE most WHEN embedding_ms THEN 'embedding' WHEN opening_ms THEN 'opening' WHEN sweeping_ms THEN 'sweeping'
                        WHEN fetching_ms THEN 'fetching' WHEN planning_ms THEN 'planning' ELSE 'other' END AS stage
    FROM   stages
)
SELECT datetime(began, 'unixepoch') AS at, function, source, column_name, path, k, rows,
       round(total_ms, 1) AS ms, stage, round(100.0 * most / max(total_ms, 1e-9)) AS percent,
       CASE WHEN error IS NOT NULL THEN 'failed: ' || error
            WHEN stage = 'embedding' THEN 'embed the question once and bind the vector, or take a faster model'
            WHEN stage = 'opening' THEN 'many rows have changed, or the file was just opened: merge the index, run warm.sql'
            WHEN stage = 'sweeping' AND cache_misses > 0 THEN 'the index was not in memory: raise cache_bytes, run warm.sql'
            WHEN stage = 'sweeping' AND path = 'scan' THEN 'every row was read: make an index, or see with fafcas_health why it is not used'
            WHEN stage = 'sweeping' THEN 'the index is large: more threads, or parts that are searched alone'
            WHEN stage = 'fetching' THEN 'rows were read from the disk: a larger page cache, a smaller k, or run warm.sql'
            WHEN stage = 'planning' THEN 'keep the statement and bind the query, so that it is planned once'
            ELSE 'the machine was busy, or rows were sorted and copied: a smaller k'
       END AS advice
FROM   named
ORDER  BY error IS NOT NULL, total_ms DESC, number
LIMIT  50;
