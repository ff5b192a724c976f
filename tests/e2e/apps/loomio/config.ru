# frozen_string_literal: true

require_relative "config/environment"

$stdout.sync = true
puts "serving #{Loomio.summary}"
run Rails.application
