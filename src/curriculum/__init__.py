"""Plan, simulate, train and audit multi-stage training curricula"""
