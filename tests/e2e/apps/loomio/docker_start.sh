#!/bin/bash -e
# What Loomio's image does when it is started: by TASK, and the app itself prepares its database.
if [ "$TASK" = worker ]; then
  exec bin/jobs start
else
  bundle exec rake db:prepare
  exec bundle exec puma --quiet --port 3000
fi
