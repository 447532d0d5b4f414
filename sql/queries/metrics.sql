-- What this process has measured, in the text format that Prometheus reads: a row for each line.
--
-- It is meant for programs that run for a long time, as the numbers are those of the process that runs it. Answer a scrape with
-- the rows, a newline after each, as `text/plain; version=0.0.4`. The counters begin at zero with the process, and again after
-- `DELETE FROM vec_stats`, which Prometheus takes for a new process. The bytes in memory stay and are still shown. Embedded texts
-- have the source "embed", and the name of the model as their column. Calls that failed before their table was known have the
-- name of the function as their source. The quantiles are those of one process and column. To have them over several, take
-- histogram_quantile(0.95, sum by (le) (rate(fafcas_search_duration_seconds_bucket[5m]))). All columns share the memory of `cache_bytes`; the sum
-- over them is what the process holds.
WITH stats AS (
    SELECT *, 'source="' || replace(replace(replace(source, '\', '\\'), '"', '\"'), char(10), '\n')
           || '",column="' || replace(replace(replace(column_name, '\', '\\'), '"', '\"'), char(10), '\n') || '"' AS labels
    FROM vec_stats
),
families (seq, name, type, help) AS (VALUES
    (1, 'fafcas_search_seconds', 'summary', 'How long searches took; quantiles to within an eighth.'),
    (2, 'fafcas_search_path', 'gauge', 'The way the last search was answered.'),
    (3, 'fafcas_rows_scanned_total', 'counter', 'Rows whose vectors were scored one by one.'),
    (4, 'fafcas_candidates_total', 'counter', 'Rows that an index proposed.'),
    (5, 'fafcas_rescored_total', 'counter', 'Proposed rows that were scored again from the table.'),
    (6, 'fafcas_repeated_total', 'counter', 'Searches by index that memory answered, as they had been asked before.'),
    (7, 'fafcas_encoded_total', 'counter', 'Changed rows that were encoded for searches, until they are merged.'),
    (8, 'fafcas_skipped_total', 'counter', 'Rows that could not be scored.'),
    (9, 'fafcas_pending_rows', 'gauge', 'Rows changed since the index was merged, as of the last search.'),
    (10, 'fafcas_progress_done', 'gauge', 'How far a running build, merge or embedding is.'),
    (11, 'fafcas_progress_all', 'gauge', 'Where it ends; 0 when none runs.'),
    (12, 'fafcas_embed_cache_bytes', 'gauge', 'Bytes of vectors of recent texts in memory.'),
    (13, 'fafcas_embed_cache_hits_total', 'counter', 'Texts whose vector was in memory.'),
    (14, 'fafcas_embed_cache_evictions_total', 'counter', 'Vectors that made room for others.'),
    (15, 'fafcas_index_cache_bytes', 'gauge', 'Bytes of its index in memory: blocks, changed rows, answers.'),
    (16, 'fafcas_index_cache_hits_total', 'counter', 'Blocks of its index that were in memory.'),
    (17, 'fafcas_index_cache_evictions_total', 'counter', 'Blocks of its index that made room for others.'),
    (18, 'fafcas_search_duration_seconds', 'histogram', 'How long searches took; may be added up over columns and processes.'),
    (19, 'fafcas_errors_total', 'counter', 'Calls that failed, by kind.')
),
plain (seq, suffix, labels, value) AS (
    SELECT 1, '', labels || ',quantile="0.5"', p50_ms / 1e3 FROM stats WHERE searches
    UNION ALL SELECT 1, '', labels || ',quantile="0.95"', p95_ms / 1e3 FROM stats WHERE searches
    UNION ALL SELECT 1, '', labels || ',quantile="0.99"', p99_ms / 1e3 FROM stats WHERE searches
    UNION ALL SELECT 1, '_sum', labels, total_ms / 1e3 FROM stats
    UNION ALL SELECT 1, '_count', labels, searches FROM stats
    UNION ALL SELECT 2, '', labels || ',path="' || path || '"', 1 FROM stats WHERE path <> ''
    UNION ALL SELECT 3, '', labels, rows_scanned FROM stats
    UNION ALL SELECT 4, '', labels, candidates FROM stats
    UNION ALL SELECT 5, '', labels, rescored FROM stats
    UNION ALL SELECT 6, '', labels, repeated FROM stats
    UNION ALL SELECT 7, '', labels, encoded FROM stats
    UNION ALL SELECT 8, '', labels, skipped FROM stats
    UNION ALL SELECT 9, '', labels, pending FROM stats
    UNION ALL SELECT 10, '', labels, progress_done FROM stats
    UNION ALL SELECT 11, '', labels, progress_total FROM stats
    UNION ALL SELECT 12, '', labels, cache_bytes FROM stats WHERE source = 'embed'
    UNION ALL SELECT 13, '', labels, cache_hits FROM stats WHERE source = 'embed'
    UNION ALL SELECT 14, '', labels, cache_evictions FROM stats WHERE source = 'embed'
    UNION ALL SELECT 15, '', labels, cache_bytes FROM stats WHERE source <> 'embed'
    UNION ALL SELECT 16, '', labels, cache_hits FROM stats WHERE source <> 'embed'
    UNION ALL SELECT 17, '', labels, cache_evictions FROM stats WHERE source <> 'embed'
    UNION ALL SELECT 19, '', labels || ',kind="mistake"', errors_mistake FROM stats
    UNION ALL SELECT 19, '', labels || ',kind="damaged"', errors_damaged FROM stats
    UNION ALL SELECT 19, '', labels || ',kind="memory"', errors_memory FROM stats
    UNION ALL SELECT 19, '', labels || ',kind="interrupted"', errors_interrupted FROM stats
    UNION ALL SELECT 19, '', labels || ',kind="busy"', errors_busy FROM stats
    UNION ALL SELECT 19, '', labels || ',kind="sqlite"', errors_sqlite FROM stats
    UNION ALL SELECT 19, '', labels || ',kind="bug"', errors_bug FROM stats
),
-- The buckets of one series stand together, in ascending order.
samples (seq, series, place, suffix, labels, value) AS (
    SELECT seq, labels, 0, suffix, labels, value FROM plain
    UNION ALL SELECT 18, labels, b.key, '_bucket', labels || ',le="' || json_extract(b.value, '$[0]') || '"', json_extract(b.value, '$[1]')
              FROM stats, json_each(stats.histogram) AS b
    UNION ALL SELECT 18, labels, 1000, '_bucket', labels || ',le="+Inf"', searches FROM stats
    UNION ALL SELECT 18, labels, 1001, '_sum', labels, total_ms / 1e3 FROM stats
    UNION ALL SELECT 18, labels, 1002, '_count', labels, searches FROM stats
)
SELECT line
FROM (
    SELECT seq, 0 AS part, NULL AS series, 0 AS place, '# HELP ' || name || ' ' || help AS line FROM families
    UNION ALL
    SELECT seq, 1, NULL, 0, '# TYPE ' || name || ' ' || type FROM families
    UNION ALL
    SELECT seq, 2, series, place, name || suffix || '{' || labels || '} ' || value
    FROM samples JOIN families USING (seq)
)
ORDER BY seq, part, series, place;
