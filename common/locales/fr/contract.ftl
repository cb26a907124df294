### Textes : ce que le contrat fait faire aux opérateurs (dobaas-admin).

help-admin-approval = Demandes qui exigent deux opérateurs
help-admin-approval-list = Liste les demandes en cours, ou toutes avec --all
help-admin-approval-propose = Demande une opération irréversible ; un autre opérateur l'approuve, puis sept jours passent
help-admin-approval-approve = Approuve la demande d'un autre opérateur
help-admin-approval-withdraw = Retire une demande
help-admin-audit = Journal des accès et des opérations
help-admin-audit-list = Montre les enregistrements les plus récents
help-admin-audit-verify = Vérifie que rien n'a été changé dans le journal
help-admin-audit-extract = Extrait tout ce qui concerne un abonnement, du plus ancien au plus récent
help-argument-number = Numéro
help-argument-kind = Genre de demande
help-option-detail = Ce qui est demandé, et pourquoi
help-option-all = Aussi ce qui est clos
help-option-from = Début : un jour (2026-11-01 ou 01/11/2026), avec une heure au besoin (« 2026-11-01 22:00 »)
help-option-to = Dernier jour
help-option-limit = Nombre d'enregistrements (100 par défaut, 1 000 au plus)
help-option-format = jsonl (par défaut) ou csv, pour un tableur

admin-head-number = N°
admin-head-kind = Genre
admin-head-asked-by = Demandé par
admin-head-asked = Demandé le
admin-head-approved-by = Approuvé par
admin-head-due = Possible dès le
admin-head-detail = Objet
admin-head-at = Le
admin-head-who = Qui
admin-head-address = D'où
admin-head-action = Opération
admin-head-object = Sur quoi
admin-head-result = Résultat

approval-kind-shorten-history = historique raccourci
approval-kind-lift-hold = levée de retenue
approval-kind-unprotect = fin d'une protection
approval-kind-destroy = destruction
approval-kind-delete-subscription = suppression de l'abonnement
approval-kind-prune-override = purge malgré les gardes
approval-kind-expunge = effacement ciblé
approval-state-asked = demandé
approval-state-approved = approuvé
approval-state-withdrawn = retiré
approval-state-carried-out = exécuté
approval-state-expired = expiré
approval-proposed = La demande n° { $number } est enregistrée et visible du client. Un autre opérateur doit l'approuver : « dobaas-admin approval approve { $number } ».
approval-approved = La demande n° { $number } est approuvée. Elle pourra être exécutée à partir du { $due }.
approval-withdrawn = La demande n° { $number } est retirée.

audit-intact = Le journal est intact : { PLURAL($records) ->
    [one] { $records } enregistrement suivi un à un
   *[other] { $records } enregistrements suivis un à un
}, { PLURAL($checkpoints) ->
    [one] { $checkpoints } point de contrôle signé
   *[other] { $checkpoints } points de contrôle signés
} (dont { $copied } dans la dernière copie), { PLURAL($unsigned) ->
    [one] { $unsigned } enregistrement
   *[other] { $unsigned } enregistrements
} depuis le dernier.
audit-tampered = Le journal n'est plus intact : { $problem ->
    [record] l'enregistrement { $record }, ou un autre avant lui, a été changé ou retiré
    [truncated] il s'arrête à l'enregistrement { $record }, alors qu'un point de contrôle signé en connaît davantage
    [checkpoint] il ne correspond pas au point de contrôle signé de l'enregistrement { $record }
   *[other] le point de contrôle de l'enregistrement { $record } n'est pas signé par ce serveur
}. Mettez une copie de control.db à l'abri et cherchez qui a accédé à la machine.

help-admin-subscription-end = Enregistre une résiliation ; les données restent jusqu'à la réversibilité
help-admin-order = Bons de commande : paramètres, avenants, annexe imprimable
help-admin-order-amend = Enregistre un avenant ; ce qui n'est pas donné reste
help-admin-order-history = Montre les avenants, avec avant et après
help-admin-order-withdraw = Retire un avenant qui attend encore
help-admin-order-print = Écrit l'annexe à signer : une page HTML pour l'impression A4, ou du texte
help-admin-suspend = Suspend un abonnement : plus de sauvegarde, rien n'est supprimé
help-admin-resume = Met fin à une suspension
help-admin-suspensions = Liste les suspensions
help-admin-maintenance = Maintenance annoncée, du serveur ou d'un abonnement
help-admin-maintenance-announce = Annonce une maintenance ; les agents reportent leurs sauvegardes
help-admin-maintenance-end = Met fin à une maintenance, ou l'annule
help-admin-maintenance-list = Liste les maintenances à venir et en cours
help-option-policy = Au-delà du changement permis : flag (accepter et signaler), defer (reporter) ou refuse
help-option-min-daily = Changement toujours permis par jour, par exemple 1Go
help-option-thinning = Éclaircissage, PÉRIODE:JOURS, par exemple week:60 (hour, day, week, month, year) ; plusieurs fois possible
help-option-period = Heures entre deux sauvegardes d'une source (24 par défaut)
help-option-tolerance = Heures de retard tolérées (2 par défaut)
help-option-price = Prix hors taxes, par exemple « Forfait=49,90/mois » ; plusieurs fois possible
help-option-signed = Jour de la signature du bon de commande
help-option-commitment = Engagement en mois (36 par défaut)
help-option-renewal = Durée de chaque reconduction en mois (celle de l'engagement par défaut)
help-option-notice = Préavis en mois (6 par défaut)
help-option-document = Référence de l'écrit signé
help-option-document-signed = Jour de sa signature
help-option-applies = Premier jour d'application (sinon tout de suite)
help-option-without-thinning = Supprime l'éclaircissage
help-option-text = Du texte au lieu d'une page HTML
help-option-output = Fichier à écrire (sinon la sortie standard)
help-option-received = Jour de réception de la résiliation
help-option-early = Résiliation anticipée, avant la fin de l'engagement
help-option-cancel = Annule une résiliation qui n'a pas encore pris effet
help-option-reason = Motif : unpaid, security, authority_request ou other
help-option-until-moment = Fin : un jour, avec une heure au besoin
help-option-told = Jour où le client a été prévenu
help-option-untold-because = Pourquoi le client n'a pas été prévenu

admin-head-document = Document
admin-head-signed = Signé le
admin-head-applies = Applicable le
admin-head-recorded-by = Enregistré par
admin-head-changes = Changements
admin-head-field = Paramètre
admin-head-before = Avant
admin-head-after = Après
admin-head-reason = Motif
admin-head-from = Du
admin-head-until = Au
admin-head-told = Client prévenu
admin-head-period = Une sauvegarde toutes les
admin-head-tolerance = Retard toléré
admin-head-policy = Au-delà
admin-head-thinning = Éclaircissage
admin-head-first-login = Première connexion
admin-head-effective = Prise d'effet
admin-head-commissioned = Mise en service
admin-head-commitment = Engagement
admin-head-renewal = Reconduction
admin-head-notice = Préavis
admin-head-commitment-end = Fin de l'engagement en cours
admin-head-last-notice = Dernier jour pour résilier
admin-head-ended = Fin de l'abonnement

order-state-waiting = en attente
order-state-applied = appliqué
order-state-withdrawn = retiré
order-shortens = Cet avenant raccourcit l'historique : des sauvegardes partiront. Il attend un second opérateur, puis sept jours. « dobaas-admin retention preview » montre lesquelles.
order-price-from = Le périmètre grandit : un nouveau prix peut s'appliquer à partir du { $day }.
order-amended = L'avenant n° { $number } est enregistré et s'applique depuis le { $from }.
order-amended-later = L'avenant n° { $number } est enregistré et s'appliquera à partir du { $from }.
order-amended-after-approval = L'avenant n° { $number } est enregistré. Il s'appliquera au plus tôt le { $from }, une fois la demande n° { $approval } approuvée par un autre opérateur et sept jours passés.
order-withdrawn = L'avenant n° { $number } est retiré.
order-printed = L'annexe est écrite dans { $path }.
order-ends = L'abonnement { $reference } se termine le { $day } au soir. Les données restent jusqu'à la réversibilité.
order-goes-on = La résiliation de l'abonnement { $reference } est annulée : il continue.

suspension-reason-unpaid = factures impayées
suspension-reason-security = sécurité
suspension-reason-authority-request = demande d'une autorité
suspension-reason-other = autre
closure-suspended = L'abonnement { $reference } est suspendu à partir du { $from } (suspension n° { $number }). { $restores ->
    [security] Les restaurations sont fermées.
    [authority_request] Les restaurations sont fermées.
   *[other] Les restaurations restent ouvertes.
} Rien n'est supprimé.
closure-resumed = La suspension n° { $number } est terminée.
closure-announced = La maintenance n° { $number } est annoncée du { $from } au { $until } ; les agents reporteront leurs sauvegardes.
closure-maintenance-over = La maintenance n° { $number } est terminée.
closure-server = tout le serveur

policy-flag = accepté et signalé
policy-defer = reporté au lendemain
policy-refuse = refusé
thinning-hour = heure
thinning-day = jour
thinning-week = semaine
thinning-month = mois
thinning-year = année

annex-title = Annexe au bon de commande { $reference } : paramètres du service de sauvegarde
annex-part-parties = 1. Parties et références
annex-part-sources = 2. Sources sauvegardées
annex-part-volume = 3. Volume et fréquence
annex-part-change = 4. Modification quotidienne
annex-part-history = 5. Historique
annex-part-place = 6. Localisation des données
annex-part-keys = 7. Clés de chiffrement
annex-part-prices = 8. Prix, hors taxes
annex-part-dates = 9. Dates et durées
annex-sources-closed = Cette liste est fermée : rien d'autre n'est sauvegardé. Une source s'ajoute par avenant.
annex-change-rule = Chaque jour civil, à l'heure de Paris, les octets modifiés sont comparés à { $rate } du volume de la première sauvegarde complète de chaque source, multiplié par le nombre de jours écoulés depuis sa sauvegarde précédente (de 1 à 31). Sont comptés les octets en clair, avant compression, des données qu'une sauvegarde atteint pour la première fois. La première sauvegarde d'une source, un renommage, une copie ou une suppression ne comptent pas. Exactement { $rate } reste dans la limite ; un octet de plus la dépasse.
annex-change-example = Exemple : une source dont la première sauvegarde fait { $baseline } peut changer de { $allowed } par jour. Si les premières sauvegardes atteignent ensemble le volume souscrit, { $volume }, cela fait { $total } par jour.
annex-change-floor = Un changement de { $floor } par jour est toujours permis.
annex-policy-flag = Au-delà, la sauvegarde est acceptée ; le jour est marqué « hors garantie » et un dossier de réévaluation est ouvert.
annex-policy-defer = Au-delà, ce que le jour permet est accepté ; le reste est envoyé les jours suivants, et la sauvegarde est marquée partielle jusque-là.
annex-policy-refuse = Au-delà, l'envoi est refusé pour la journée ; ce qui est déjà sauvegardé reste accessible.
annex-history = Toute sauvegarde reçue depuis moins que ce nombre de jours est conservée, ainsi que la plus récente d'avant cette période et, toujours, la dernière sauvegarde complète de chaque source. Seul le prestataire retire des sauvegardes, jamais l'agent. Raccourcir l'historique demande un avenant, deux opérateurs et sept jours.
annex-thinning = la plus récente par { $every }, pendant { $days } jours
annex-site = Site
annex-country = Pays
annex-owner = Exploitant
annex-place = Les données sont conservées en France, sur les machines du prestataire. Un autre lieu de l'Union européenne demande l'accord écrit préalable du client ; un lieu hors de l'Union européenne est exclu.
annex-keys-customer = Les clés sont détenues par le client seul. Le prestataire vérifie, compte et conserve les données sans pouvoir en lire ni le contenu ni les noms. Sans la phrase de passe ni la clé de secours, personne ne peut les relire, le prestataire non plus.
annex-keys-provider = Les clés sont détenues par le client et par le prestataire, qui peut donc restaurer ou restituer les données à la demande du client.
annex-price = { $amount } par { $per }
annex-price-once = { $amount }, une fois
annex-months = { $months } mois
annex-sign-provider = Pour le prestataire (nom, date, signature)
annex-sign-customer = Pour le client (nom, date, signature)

admin-head-min-daily = Changement toujours permis par jour
admin-head-history-rule = Historique
admin-head-prices = Prix
amended-change = { $name } : { $before } → { $after }
amended-days = { PLURAL($days) ->
    [one] { $days } jour
   *[other] { $days } jours
}
