"""What differs between two plans: from which step on, in which numbers, and what follows"""
