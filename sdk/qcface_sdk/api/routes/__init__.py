"""The API's paths, one file a noun."""
