#!/bin/sh
mkdir -p /var/lib/sonarr
