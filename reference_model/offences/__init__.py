"""Every known offence as a named change of configuration, next to its honest twin."""

from reference_model.offences.registry import OFFENCES, Offence, config_of, twin_of

__all__ = ["OFFENCES", "Offence", "config_of", "twin_of"]
