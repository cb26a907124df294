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
help-option-from = Premier jour, par exemple 2026-11-01 ou 01/11/2026
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
approval-kind-lift-hold = levée de mise en attente
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

audit-intact = Le journal est intact : { $records } enregistrements suivis un à un, { $checkpoints } points de contrôle signés, { $unsigned } enregistrements depuis le dernier.
audit-tampered = Le journal n'est plus intact : { $problem ->
    [record] l'enregistrement { $record }, ou un autre avant lui, a été changé ou retiré
    [truncated] il s'arrête à l'enregistrement { $record }, alors qu'un point de contrôle signé en connaît davantage
    [checkpoint] il ne correspond pas au point de contrôle signé de l'enregistrement { $record }
   *[other] le point de contrôle de l'enregistrement { $record } n'est pas signé par ce serveur
}. Mettez une copie de control.db à l'abri et cherchez qui a accédé à la machine.
