"""From events to published values: claim → compute → append → publish → settle."""
