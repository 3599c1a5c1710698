"""Traces, judged by a collector that decodes what arrives with the official protobuf package."""
