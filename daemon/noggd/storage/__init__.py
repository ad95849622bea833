"""What is kept on disk: the journal of documents, the device's key, who is trusted."""
