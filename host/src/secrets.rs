//! Secret references to secret values. It knows neither S3 nor what a secret is for.
