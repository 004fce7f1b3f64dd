"""Checks: rules, property tests and their reports"""
