# The collector: what services declare as state is persisted.
{}
