"""Models: shapes, modules and attention"""
