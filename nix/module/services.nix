# The contract of docs/contract.md as options, and assertions on what it says.
{}
