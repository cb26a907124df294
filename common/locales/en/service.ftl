### The service, its schedule, and what the contract allows today.

service-installed = Service installed and started ({ $path }). "dobaas status" shows the next backup, "journalctl -u dobaas-agent" what it does.
service-no-systemd = systemd does not run this machine: nothing was installed. Have your service manager start "{ $program } service run", or see the unit with "dobaas service install --print".
service-systemctl = "systemctl { $command }" failed. Run the command with administrative rights, and look at "journalctl -xe".
cli-schedule = "{ $schedule }" is no schedule. Examples: 21:30; 12:00,21:30; "mon-fri 21:30; sat 04:00"; "every 4h"; none to schedule nothing.
backup-deferred-more = … and { PLURAL($count) ->
    [one] { $count } more file that waits
    [many] { $count } more files that wait
   *[other] { $count } more files that wait
}.

today-rate = Rate of the day: { $rate } of the first backup ({ $baseline }); contract: { $contract }.
today-rate-days = Rate since the previous backup, over { $days } days: { $rate } of the first backup ({ $baseline }); contract: { $contract } a day.
today-near = More than 80% of what the contract allows today is used.
today-over = The backup is done, but the day is beyond what the contract guarantees: a re-evaluation will be offered to you.
today-deferred = { $protected } in this backup. { PLURAL($files) ->
    [one] { $files } file waits
    [many] { $files } files wait
   *[other] { $files } files wait
} ({ $bytes }): the contract allows no more change today. Their old version, if there was one, stays in the backup. The service goes on by itself from { $next } until everything is in it.
today-refused = { $refusal } { $protected } in this backup; { PLURAL($files) ->
    [one] { $files } file is not
    [many] { $files } files are not
   *[other] { $files } files are not
} in it as of today ({ $bytes }).
