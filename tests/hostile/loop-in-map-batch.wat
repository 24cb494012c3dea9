;; Never returns from its first batch.
;;@map-batch
    (loop $forever (br $forever))
