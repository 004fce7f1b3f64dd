"""Simulation: the run as a table and as pictures"""
