//! The durable record of what happened to each object. It knows neither S3 nor mappers.
