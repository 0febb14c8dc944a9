"""Security neurons: score rows of linear layers, select them, cluster them. It trains nothing."""
