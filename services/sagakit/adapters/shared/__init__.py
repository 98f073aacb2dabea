"""What several adapters would otherwise write twice. It knows no database and no broker."""
