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

standing = { $source } : { $text }
standing-complete = Dernière sauvegarde complète : { $date }.
standing-never = Pas encore de sauvegarde complète.
standing-late = EN RETARD depuis le { $date } : vérifiez que le service tourne et que cette machine joint le serveur.
standing-running = Sauvegarde en cours depuis le { $date }.
standing-next = Prochaine : { $date }.
standing-stopped = Un horaire est prévu, mais le service ne tourne pas : « dobaas service install » l'installe.
standing-unscheduled = Aucun horaire : « dobaas sources set --schedule » en donne un.
standing-last = Dernière exécution ({ $date }) : { $result }.
standing-failures = Dernière exécution ({ $date }) : { $result }, { $failures } échecs de suite.
standing-journal-missed = { PLURAL($count) ->
    [one] { $count } dossier a changé sans que le journal des changements l'ait entendu ; le parcours complet l'a rattrapé. Le journal n'est plus suivi jusqu'au redémarrage du service.
    [many] { $count } de dossiers ont changé sans que le journal des changements les ait entendus ; le parcours complet les a rattrapés. Le journal n'est plus suivi jusqu'au redémarrage du service.
   *[other] { $count } dossiers ont changé sans que le journal des changements les ait entendus ; le parcours complet les a rattrapés. Le journal n'est plus suivi jusqu'au redémarrage du service.
}
standing-journal-off = Le journal des changements s'est trompé : chaque sauvegarde parcourt tout jusqu'au redémarrage du service.
standing-journal-limit = Trop de dossiers pour le journal des changements : chaque sauvegarde parcourt tout. Pour l'éviter, augmentez fs.inotify.max_user_watches et redémarrez le service.
run-result-complete = complète
run-result-partial = incomplète, certains fichiers n'ont pas pu être lus
run-result-deferred = une partie attend un autre jour, le contrat ne permettait pas plus de changements
run-result-refused = le contrat a refusé une partie des données
run-result-failed = échec
run-result-busy = une autre sauvegarde de la même source était en cours
run-result-maintenance = reportée, le serveur était en maintenance
run-result-suspended = pas de sauvegarde, l'abonnement est suspendu
run-result-interrupted = interrompue, elle reprendra
status-suspended = Abonnement suspendu ({ $reason ->
    [unpaid] factures impayées
    [security] sécurité
    [authority_request] demande d'une autorité
   *[other] autre motif
}){ $until ->
    [none] {""}
   *[other] {" "}jusqu'au { $until }
} : aucune nouvelle sauvegarde n'est acceptée, rien n'est supprimé. L'agent redemande de lui-même.
status-maintenance = Maintenance annoncée du { $from }{ $until ->
    [none] {""}
   *[other] {" "}au { $until }
} : les sauvegardes sont reportées de ce temps, sans compter comme des échecs.

accesses-head = { PLURAL($count) ->
    [one] { $count } accès d'opérateur
   *[other] { $count } accès d'opérateurs
} à votre abonnement depuis { $days } jours.
accesses-date = Le
accesses-operator = Opérateur
accesses-action = Opération
accesses-object = Sur quoi
accesses-result = Résultat
accesses-notice = Information
accesses-detail = Détail
