;; Takes table elements for as long as it gets any.
;;@module
  (table $table 1 funcref)
;;@map-batch
    (loop $more
      (br_if $more (i32.ne (table.grow $table (ref.null func) (i32.const 10000)) (i32.const -1))))
