;; Gives up.
;;@map-batch
    unreachable
