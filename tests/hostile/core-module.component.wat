;; Was never made a component.
(module (func (export "map-batch")))
