### Textes : entretien, historique, retenues et protections (dobaas-admin).

help-admin-upkeep = Entretien : travaux, pauses, purge arrêtée, dégâts
help-admin-upkeep-status = Montre les travaux, leur avancement, leur dernier résultat, et pourquoi la purge est arrêtée
help-admin-upkeep-run = Lance un travail dès que sa place est libre
help-admin-upkeep-pause = Met l'entretien en pause, y compris après un redémarrage
help-admin-upkeep-resume = Reprend l'entretien
help-admin-upkeep-stop = Arrête le travail en cours ; il reprendra à son heure
help-admin-upkeep-allow = Autorise la purge qu'un garde a arrêtée (horloge, arrêt prolongé, reconstruction)
help-admin-upkeep-damage = Liste ce qui est endommagé et les sauvegardes touchées
help-admin-retention = Ce que l'historique garde, et ce qui part
help-admin-retention-preview = Montre pour chaque sauvegarde si elle est gardée, pourquoi, et quand elle part
help-admin-hold = Sauvegardes suspectes
help-admin-hold-list = Liste les retenues, leurs signaux et leurs chiffres
help-admin-hold-lift = Lève les retenues, une fois la demande lift_hold approuvée et sept jours passés
help-admin-protect = Protège une sauvegarde jusqu'à une date
help-admin-protections = Liste les protections d'un abonnement
help-admin-unprotect = Met fin à une protection avant sa date ; un second opérateur et sept jours sont nécessaires
help-argument-job = Travail : expire, mark, purge, compact, scrub, recount, checkpoint, amend, judge ou control-copy
help-argument-place = Référence du bon de commande (sinon le serveur lui-même ; pour status, tout)
help-argument-snapshot = Identifiant de la sauvegarde, ou ses 8 premiers chiffres
help-argument-protection = Identifiant de la protection, ou ses 8 premiers chiffres
help-option-looked = Ce qui a été vérifié avant d'autoriser
help-option-compared-history = Historique à comparer, en jours : montre ce qui partirait
help-option-protected-until = Dernier jour de la protection, par exemple 2031-12-31
help-option-protected-reason = Motif, visible du client
help-option-lifted = Aussi ce qui est terminé

admin-head-job = Travail
admin-head-next = Prochain
admin-head-last = Dernier
admin-head-snapshot = Sauvegarde
admin-head-source = Source
admin-head-received = Reçue le
admin-head-damaged = Morceaux endommagés
admin-head-why = Gardée parce que
admin-head-goes = Part le
admin-head-shorter = Avec l'autre historique
admin-head-suspect = Suspecte
admin-head-clean = Dernière saine
admin-head-signals = Signaux
admin-head-changed-allowed = Modifié / permis
admin-head-compressed = Taille compressée
admin-head-gone-entries = Fichiers disparus
admin-head-gone-bytes = Contenu disparu
admin-head-protection = Protection
admin-head-ended-early = Levée le

upkeep-server = serveur
upkeep-everywhere = tous les abonnements
upkeep-job-checkpoint = signature des traces
upkeep-job-amend = avenants
upkeep-job-control-copy = copie des registres
upkeep-job-announce = annonce
upkeep-job-expire = expiration
upkeep-job-mark = marquage
upkeep-job-purge = purge
upkeep-job-repair = réparation
upkeep-job-compact = compactage
upkeep-job-scrub = relecture
upkeep-job-recount = recomptage
upkeep-job-judge = jugement des jours
upkeep-running = en cours : { $total ->
    [none] { $done }
   *[other] { $done } sur { $total }
}
upkeep-is-paused = en pause
upkeep-waits = en attente
upkeep-at-once = dès que possible
upkeep-never = jamais
upkeep-done = fait
upkeep-was-stopped = arrêté par un opérateur
upkeep-failed = échec : { $cause }
upkeep-counted = { $name } : { $number }
upkeep-count-records = traces
upkeep-count-applied = avenants appliqués
upkeep-count-commissioned = mises en service
upkeep-count-copies = copies
upkeep-count-removed = retirées
upkeep-count-expired = sauvegardes parties
upkeep-count-kept = gardées
upkeep-count-chunks = morceaux
upkeep-count-reached = utilisés
upkeep-count-trashed = mis à la corbeille
upkeep-count-brought-back = repris
upkeep-count-purged = morceaux purgés
upkeep-count-waiting = en délai de grâce
upkeep-count-packs = paquets
upkeep-count-bytes = volume
upkeep-count-replaced = paquets remplacés
upkeep-count-written = paquets écrits
upkeep-count-copied-bytes = volume recopié
upkeep-count-objects = objets relus
upkeep-count-damaged-objects = objets endommagés
upkeep-count-unknown-objects = objets inconnus
upkeep-count-damaged-chunks = morceaux endommagés
upkeep-count-affected-snapshots = sauvegardes touchées
upkeep-count-over = jours en dépassement
upkeep-count-differences = écarts
upkeep-count-failed = échecs
upkeep-count-damaged = endommagés

pruning-stop-clock-forward = l'horloge du serveur a avancé d'un bond
pruning-stop-clock-back = l'horloge du serveur a reculé
pruning-stop-downtime = le serveur a été arrêté plus d'un jour
pruning-stop-rebuilt = un index a été reconstruit ou les registres restaurés
pruning-stop-too-many = trop de sauvegardes partiraient d'un coup (demande prune_override)
pruning-stop-read-failed = le stockage ne montre pas tout ce qu'il devrait
pruning-stop-hold = une sauvegarde est suspecte (« dobaas-admin hold list »)
pruning-stop-suspended = l'abonnement est suspendu
pruning-stop-ended = l'abonnement est terminé
pruning-stop-stopped = un garde l'a arrêtée
pruning-stop-protected = une sauvegarde est protégée
pruning-stop-kept = l'historique garde la sauvegarde
pruning-stop-in-use = un paquet sert encore

upkeep-stop = Purge arrêtée ({ $place }){ $since ->
    [none] {""}
   *[other] {" "}depuis le { $since }
} : { $reason }.{ $allow ->
    [yes] {" "}Après vérification : « dobaas-admin upkeep allow ».
   *[other] {""}
}
upkeep-asked = Le travail « { $job } » ({ $place }) commencera dès que sa place sera libre.
upkeep-paused = L'entretien est en pause ({ $place }).
upkeep-resumed = L'entretien reprend ({ $place }).
upkeep-stopped = Le travail en cours est arrêté ({ $place }).
upkeep-nothing-ran = Aucun travail n'était en cours ({ $place }).
upkeep-allowed = La purge reprend ({ $place }).
upkeep-nothing-stopped = Aucun garde n'arrêtait la purge ({ $place }).
upkeep-undamaged = Rien n'est endommagé.
upkeep-affected = Morceaux endommagés : { $chunks }. Sauvegardes touchées :
upkeep-unaffected = Morceaux endommagés : { $chunks }. Aucune sauvegarde n'est touchée.
upkeep-object-suspect = à relire
upkeep-object-quarantined = endommagé en partie
upkeep-object-unread = illisible lors de la reconstruction
upkeep-object-lost = perdu
upkeep-object-damaged = endommagé ou perdu

retention-stopped = Pour le moment rien ne part : { $reason }.
retention-reason-in-window = dans l'historique
retention-reason-window-edge = premier jour de l'historique
retention-reason-last-complete = dernière complète
retention-reason-last-verified = dernière vérifiée
retention-reason-protected = protégée
retention-reason-newest = la plus récente
retention-reason-suspect = retenue
retention-goes = part
retention-stays = reste
retention-not-in-sight = pas en vue
retention-complete = complète
retention-partial = partielle
retention-summary = Historique de { $days } jours : { $kept } gardées, { $going } à la prochaine expiration.
retention-compared = Avec { $days } jours, { $count } de plus partiraient.

hold-none = Aucune retenue.
hold-stands = en cours
hold-was-lifted = levée le { $at }
hold-part = { $part } / { $whole }
hold-signal-change = changement massif
hold-signal-incompressible = contenu devenu incompressible
hold-signal-gone = disparitions massives
hold-lifted = Retenues levées pour { $reference } : { $count }.
hold-later = Retenues venues après la demande, toujours en cours : { $count }.

protect-none = Aucune protection.
protect-done = La sauvegarde { $snapshot } est protégée jusqu'au { $until }.
protect-asked = La demande n° { $number } est enregistrée et visible du client. Un autre opérateur doit l'approuver ; sept jours après, relancez cette commande.
protect-waits = La demande n° { $number } est approuvée ; relancez cette commande à partir du { $due }.
protect-ended = La protection est levée (demande n° { $number }).
