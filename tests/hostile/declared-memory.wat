;; Declares a second memory of 125 MiB.
;;@module
  (memory $second 2000)
