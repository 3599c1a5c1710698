"""The operations on endpoints, and endpoints as requests and answers write them."""
