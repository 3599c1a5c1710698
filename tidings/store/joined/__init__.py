"""What joined nodes need of one another while they run: news, the latest catalogue, and calls of keys."""
