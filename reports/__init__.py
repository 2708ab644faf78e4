"""Reports: one view of an audit in every format people and machines act on."""
