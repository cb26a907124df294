### Dates and quantities.

date-now = just now
date-minutes-ago = { $count } min ago
date-hours-ago = { $count } h ago
date-yesterday = yesterday
date-days-ago = { PLURAL($count) ->
    [one] { $count } day ago
   *[other] { $count } days ago
}
date-months-ago = { PLURAL($count) ->
    [one] { $count } month ago
   *[other] { $count } months ago
}
date-years-ago = { PLURAL($count) ->
    [one] { $count } year ago
   *[other] { $count } years ago
}
date-in-minutes = in { $count } min
date-in-hours = in { $count } h
date-tomorrow = tomorrow
date-in-days = { PLURAL($count) ->
    [one] in { $count } day
   *[other] in { $count } days
}
date-in-months = { PLURAL($count) ->
    [one] in { $count } month
   *[other] in { $count } months
}
date-in-years = { PLURAL($count) ->
    [one] in { $count } year
   *[other] in { $count } years
}
date-summer-time = summer time
date-winter-time = winter time
date-full = { $weekday ->
    [1] Monday
    [2] Tuesday
    [3] Wednesday
    [4] Thursday
    [5] Friday
    [6] Saturday
   *[7] Sunday
} { $day } { $month ->
    [1] January
    [2] February
    [3] March
    [4] April
    [5] May
    [6] June
    [7] July
    [8] August
    [9] September
    [10] October
    [11] November
   *[12] December
} { $year } at { $time }

count-files = { PLURAL($count) ->
    [one] { $count } file
   *[other] { $count } files
}

run-complete = { $source }: { PLURAL($files) ->
    [one] { $files } file
   *[other] { $files } files
} ({ $plain }) protected in { $duration }; { $sent } sent (new: { $new }, changed: { $changed }, deleted: { $deleted }).
run-partial = Incomplete: { $source }, { PLURAL($files) ->
    [one] { $files } file
   *[other] { $files } files
} ({ $plain }) protected in { $duration }; { $sent } sent (new: { $new }, changed: { $changed }, deleted: { $deleted }); not backed up: { $skipped }, see the list.
day-within = Today: { $changed } changed of { $allowed } allowed ({ $share }).
day-over = Today: { $changed } changed for { $allowed } allowed ({ $share }), beyond the contract. Your provider is told.
day-without-baseline = Today: the allowance of changes starts after the first complete backup.
