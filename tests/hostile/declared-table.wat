;; Declares a table of 200,000 elements.
;;@module
  (table $second 200000 funcref)
