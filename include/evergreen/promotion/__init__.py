"""What follows a blessing: registration, the model card, the question to a person, the promotion."""
