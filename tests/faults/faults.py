"""The faults that are tried, in this order: a full disk comes last, since the site keeps the small one."""

from tests.faults import postgres_faults, program_faults, valkey_faults

FAULTS = (*program_faults.FAULTS, *valkey_faults.FAULTS, *postgres_faults.FAULTS)
