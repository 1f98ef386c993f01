# Wires the settings of a host's plan.
{}
