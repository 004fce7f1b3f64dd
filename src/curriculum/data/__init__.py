"""Data: which source, which sample, how it is packed and loaded"""
