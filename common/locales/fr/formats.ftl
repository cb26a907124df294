### Dates et quantités. Les espaces insécables sont posées par le programme.

date-now = à l'instant
date-minutes-ago = il y a { $count } min
date-hours-ago = il y a { $count } h
date-yesterday = hier
date-days-ago = { PLURAL($count) ->
    [one] il y a { $count } jour
   *[other] il y a { $count } jours
}
date-months-ago = il y a { $count } mois
date-years-ago = { PLURAL($count) ->
    [one] il y a { $count } an
   *[other] il y a { $count } ans
}
date-in-minutes = dans { $count } min
date-in-hours = dans { $count } h
date-tomorrow = demain
date-in-days = { PLURAL($count) ->
    [one] dans { $count } jour
   *[other] dans { $count } jours
}
date-in-months = dans { $count } mois
date-in-years = { PLURAL($count) ->
    [one] dans { $count } an
   *[other] dans { $count } ans
}
date-summer-time = heure d'été
date-winter-time = heure d'hiver
date-full = { $weekday ->
    [1] lundi
    [2] mardi
    [3] mercredi
    [4] jeudi
    [5] vendredi
    [6] samedi
   *[7] dimanche
} { $day ->
    [1] 1er
   *[other] { $day }
} { $month ->
    [1] janvier
    [2] février
    [3] mars
    [4] avril
    [5] mai
    [6] juin
    [7] juillet
    [8] août
    [9] septembre
    [10] octobre
    [11] novembre
   *[12] décembre
} { $year } à { $time }

count-files = { PLURAL($count) ->
    [one] { $count } fichier
    [many] { $count } de fichiers
   *[other] { $count } fichiers
}

run-complete = { $source } : { PLURAL($files) ->
    [one] { $files } fichier protégé
    [many] { $files } de fichiers protégés
   *[other] { $files } fichiers protégés
} ({ $plain }) en { $duration } ; { $sent } envoyés (nouveaux : { $new }, modifiés : { $changed }, supprimés : { $deleted }).
run-partial = Incomplet : { $source }, { PLURAL($files) ->
    [one] { $files } fichier protégé
    [many] { $files } de fichiers protégés
   *[other] { $files } fichiers protégés
} ({ $plain }) en { $duration } ; { $sent } envoyés (nouveaux : { $new }, modifiés : { $changed }, supprimés : { $deleted }) ; non sauvegardé : { $skipped }, voir la liste.
day-within = Aujourd'hui : { $changed } modifiés sur { $allowed } permis ({ $share }).
day-over = Aujourd'hui : { $changed } modifiés pour { $allowed } permis ({ $share }), au-delà du contrat. Votre prestataire est prévenu.
day-without-baseline = Aujourd'hui : le quota de changements commencera après la première sauvegarde complète.
