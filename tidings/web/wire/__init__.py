"""A request's way in and its answer's way out: routes, headers, queries, bodies, problems, streams, the feed."""
