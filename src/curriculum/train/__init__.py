"""Training: the loop that executes a plan, its checkpoints and its ledger"""
