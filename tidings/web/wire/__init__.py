"""A request's way in and its answer's way out, for every door: paths, queries, bodies, problems, streams, the feed."""
