# Refuses a switch that would lose data.
{}
