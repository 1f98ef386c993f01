# What "stateward plan host" wrote.
{stateward.plan = ./plans/forge.json;}
