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

standing = { $source }: { $text }
standing-complete = Last complete backup: { $date }.
standing-never = No complete backup yet.
standing-late = LATE since { $date }: check that the service runs and that this machine reaches the server.
standing-running = Backup at work since { $date }.
standing-next = Next: { $date }.
standing-stopped = There is a schedule, but the service does not run: "dobaas service install" installs it.
standing-unscheduled = No schedule: "dobaas sources set --schedule" gives one.
standing-last = Last run ({ $date }): { $result }.
standing-failures = Last run ({ $date }): { $result }, { $failures } failures in a row.
standing-journal-missed = { PLURAL($count) ->
    [one] { $count } folder changed unheard by the change journal; the full walk caught it. The journal is not followed until the service starts again.
   *[other] { $count } folders changed unheard by the change journal; the full walk caught them. The journal is not followed until the service starts again.
}
standing-journal-off = The change journal was wrong: every backup walks everything until the service starts again.
standing-journal-limit = Too many folders for the change journal: every backup walks everything. To avoid it, raise fs.inotify.max_user_watches and restart the service.
run-result-complete = complete
run-result-partial = incomplete, some files could not be read
run-result-deferred = a part waits for another day, the contract allowed no more change
run-result-refused = the contract refused a part of the data
run-result-failed = failed
run-result-busy = another backup of the same source was at work
run-result-maintenance = put off, the server was under maintenance
run-result-suspended = no backup, the subscription is suspended
run-result-interrupted = interrupted, it will go on
status-suspended = Subscription suspended ({ $reason ->
    [unpaid] unpaid bills
    [security] security
    [authority_request] request of an authority
   *[other] another reason
}){ $until ->
    [none] {""}
   *[other] {" "}until { $until }
}: no new backup is accepted, nothing is deleted. The agent asks again by itself.
status-maintenance = Maintenance announced from { $from }{ $until ->
    [none] {""}
   *[other] {" "}to { $until }
}: backups are put off by that time, and it counts as no failure.

accesses-head = { PLURAL($count) ->
    [one] { $count } access of operators
   *[other] { $count } accesses of operators
} to your subscription in { $days } days.
accesses-date = At
accesses-operator = Operator
accesses-action = Operation
accesses-object = On what
accesses-result = Result
accesses-notice = Notice
accesses-detail = Detail
