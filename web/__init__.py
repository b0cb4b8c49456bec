"""The page: an HTTP server on this computer that shows a store; see `app.create_app`."""
