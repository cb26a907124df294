### Le service, ses horaires, et ce que le contrat permet aujourd'hui.

service-installed = Service installé et démarré ({ $path }). « dobaas status » montre la prochaine sauvegarde, « journalctl -u dobaas-agent » ce qu'il fait.
service-no-systemd = systemd ne gère pas cette machine : rien n'a été installé. Faites démarrer « { $program } service run » par votre gestionnaire de services, ou voyez l'unité avec « dobaas service install --print ».
service-systemctl = « systemctl { $command } » a échoué. Lancez la commande avec les droits d'administration, et consultez « journalctl -xe ».
cli-schedule = « { $schedule } » n'est pas un horaire. Exemples : 21:30 ; 12:00,21:30 ; "lun-ven 21:30; sam 04:00" ; "every 4h" ; none pour ne rien prévoir.
backup-deferred-more = … et { PLURAL($count) ->
    [one] { $count } autre fichier qui attend
    [many] { $count } d'autres fichiers qui attendent
   *[other] { $count } autres fichiers qui attendent
}.

today-rate = Taux du jour : { $rate } de la première sauvegarde ({ $baseline }) ; contrat : { $contract }.
today-rate-days = Taux depuis la sauvegarde précédente, sur { $days } jours : { $rate } de la première sauvegarde ({ $baseline }) ; contrat : { $contract } par jour.
today-near = Plus de 80 % de ce que le contrat permet aujourd'hui est utilisé.
today-over = La sauvegarde est faite, mais la journée dépasse ce que le contrat garantit : une réévaluation vous sera proposée.
today-deferred = { $protected } dans cette sauvegarde. { PLURAL($files) ->
    [one] { $files } fichier attend
    [many] { $files } de fichiers attendent
   *[other] { $files } fichiers attendent
} ({ $bytes }) : le contrat ne permet pas plus de changements aujourd'hui. Leur ancienne version, s'il y en avait une, reste dans la sauvegarde. Le service continue de lui-même à partir du { $next }, jusqu'à ce que tout y soit.
today-refused = { $refusal } { $protected } dans cette sauvegarde ; { PLURAL($files) ->
    [one] { $files } fichier n'y est
    [many] { $files } de fichiers n'y sont
   *[other] { $files } fichiers n'y sont
} pas dans sa version d'aujourd'hui ({ $bytes }).
