"""The reference stack: train, quantize and evaluate a small GPT so that its score is a code length.

Legal by default. Every known offence is a named choice in :mod:`reference_model.offences`, so that
the auditor can be shown to catch it. This package imports nothing from the auditor.
"""
