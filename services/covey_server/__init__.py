"""The analyzer service: translate, validate, route, measure, store."""
