-- Calls counted per key and window.

-- name: call_counts
-- All counts, read at the start.
SELECT key, seconds, window_start, calls FROM call_count;

-- name: call_count_put
-- Store the count of one key and window.
INSERT INTO call_count (key, seconds, window_start, calls) VALUES (:key, :seconds, :window_start, :calls)
ON CONFLICT (key, seconds) DO UPDATE SET window_start = excluded.window_start, calls = excluded.calls;
